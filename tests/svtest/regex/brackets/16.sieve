require "regex";
if header :regex "subject" "[b-a]" { stop; }
