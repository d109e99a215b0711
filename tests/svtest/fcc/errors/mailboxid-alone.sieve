require ["vacation", "mailboxid"];
vacation :mailboxid "F1" "Gone.";
