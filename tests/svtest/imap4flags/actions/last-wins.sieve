require ["imap4flags", "fileinto", "mailbox", "copy"];

setflag ["internal", "\\Seen"];
fileinto :create :copy :flags "first" "Work";
fileinto :create :copy :flags "second" "Work";
fileinto :create :copy :flags "" "None";
fileinto :create :copy :flags "only-once" "Plain";
fileinto :create :copy "Plain";
setflag "later";
