require "regex";
if header :regex "subject" "[[.space.]]" { stop; }
