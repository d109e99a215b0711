require ["environment", "variables", "fileinto"];
fileinto "${env.name}";
