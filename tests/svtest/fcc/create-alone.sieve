require ["vacation", "fcc", "mailbox"];
vacation :create "x";
