require "mime";
if header :type "content-type" "x" { keep; }
