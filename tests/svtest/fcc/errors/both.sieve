require ["vacation", "fcc", "mailboxid", "special-use"];
vacation :fcc "Sent" :specialuse "\\Sent" :mailboxid "F1" "Gone.";
