require ["variables", "fileinto"];

fileinto "x${33}";
fileinto "x${unknown.name}";
set "unknown.name" "x";
