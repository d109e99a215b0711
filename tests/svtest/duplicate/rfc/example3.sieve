require ["variables", "envelope", "enotify", "duplicate"];
if envelope :matches "from" "*" { set "sender" "${1}"; }
if header :matches "subject" "*" { set "subject" "${1}"; }
if not duplicate :seconds 1800 :uniqueid "${sender}" {
  notify :message "[SIEVE] ${sender}: ${subject}" "mailto:user@im.example.com";
}
