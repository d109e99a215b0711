require ["editheader", "fileinto"];
addheader "X-Sorted" "업무";
fileinto "업무";
deleteheader "Received";
keep;
