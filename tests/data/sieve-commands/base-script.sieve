require "fileinto";
if address :is "from" "kim@example.kr" { fileinto "업무"; }
