require ["fileinto", "variables"];
set "folder" "업무";
fileinto "${folder}";
