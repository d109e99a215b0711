require "regex";
if header :regex "subject" "[[=ab=]]" { stop; }
