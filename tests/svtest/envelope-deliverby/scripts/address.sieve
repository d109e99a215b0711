require ["envelope", "envelope-deliverby"];
if envelope :domain "bymode" "x" { keep; }
