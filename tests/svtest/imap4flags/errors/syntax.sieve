require ["imap4flags", "fileinto", "variables"];

setflag;
setflag 1;
setflag ["a", "b"] "c";
addflag "not a name" "c";
fileinto :flags 1 "x";
keep :flags;
if hasflag 1 { stop; }
