require ["fileinto", "mailbox"];
fileinto :create "Sequence";
