require "regex";
if header :regex "subject" "[[.]]" { stop; }
