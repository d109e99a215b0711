require "envelope";
if envelope "bymode" "x" { keep; }
