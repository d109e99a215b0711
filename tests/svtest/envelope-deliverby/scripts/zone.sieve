require ["envelope", "envelope-deliverby"];
if envelope :zone "+01:00" "bytimeabsolute" "x" { keep; }
