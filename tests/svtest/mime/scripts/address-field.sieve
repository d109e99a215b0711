require "mime";
if address "content-from" "x" { keep; }
