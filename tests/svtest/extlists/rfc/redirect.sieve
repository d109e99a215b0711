require ["extlists", "variables"];
set "list" "tag:example.com,2010-05-28:nobody";
redirect :list "${list}";
