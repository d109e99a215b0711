require ["regex", "fileinto"];

# each of these is told with its place
if header :regex "subject" "[:alpha:]+" { keep; }
if header :regex "subject" [
    "^fine$",
    "[[:alpha]]"
] { keep; }
if header :regex "subject" "[[:alfa:]]" { keep; }
if header :regex "subject" "[a" { keep; }
