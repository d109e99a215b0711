# nothing: the message is kept
