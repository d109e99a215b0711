require "imap4flags";

setflag "name" "\\Seen";
