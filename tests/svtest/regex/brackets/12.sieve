require "regex";
if header :regex "subject" "a|[[:alpha]" { stop; }
