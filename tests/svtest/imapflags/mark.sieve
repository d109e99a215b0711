require ["imapflags", "fileinto"];

setflag "\\Seen";
mark;
addflag ["$Old", "x"];
removeflag "x";
keep;
