require "regex";
if header :regex "subject" "[[:alpha:]-z]" { stop; }
