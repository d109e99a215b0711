require "regex";
if header :regex "subject" "[[:alfa:]]" { stop; }
