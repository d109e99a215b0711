require "regex";
if header :regex "subject" "[[:ALPHA:]]" { stop; }
