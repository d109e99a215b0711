require ["copy", "fileinto"];
fileinto "Archive";
