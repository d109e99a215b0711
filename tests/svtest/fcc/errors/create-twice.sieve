require ["vacation", "fcc", "mailbox"];
vacation :fcc "Sent" :create :create "Gone.";
