require ["vacation", "fileinto"];
vacation "away";
discard;
redirect "other@example.net";
keep;
