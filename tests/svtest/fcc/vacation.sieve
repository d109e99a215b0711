require ["vacation", "fcc", "mailbox", "imap4flags"];
vacation :days 7 :subject "On holiday" :fcc "Sent" :create :flags ["\\Seen"] "Back in August.";
