require ["editheader", "variables"];
set "name" "X Bad";
addheader "${name}" "value";
