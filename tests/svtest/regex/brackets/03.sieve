require "regex";
if header :regex "subject" "[[:digit:]" { stop; }
