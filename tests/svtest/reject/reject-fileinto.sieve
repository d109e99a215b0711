require ["reject", "fileinto"];
reject "no";
fileinto "INBOX.x";
