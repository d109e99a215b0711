require ["envelope", "envelope-dsn"];
if envelope :localpart "orcpt" "x" { keep; }
