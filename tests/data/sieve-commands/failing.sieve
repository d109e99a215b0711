require ["fileinto", "variables"];
fileinto "업무";
redirect "${nobody}";
