require "envelope";
if envelope "helo" "x" { keep; }
