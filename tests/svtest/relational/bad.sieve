require ["relational", "variables"];

set "r" "gt";
if header :value "xx" "subject" "a" { stop; }
if header :count "" "subject" "1" { stop; }
if header :value "${r}" "subject" "a" { stop; }
