require ["reject", "ereject"];
reject "no";
ereject "no";
