require "regex";
if header :regex "subject" "[[:alpha]]" { stop; }
