require ["fileinto", "reject", "mailbox"];
if mailboxexists "Partners" {
    fileinto :create "Partners";
} else {
    reject "This message was not accepted by the Mailstore";
}
