require ["mailbox", "fileinto"];
if mailboxexists "보관함.2025" { fileinto "보관함.2025"; }
elsif mailboxexists "보관함" { fileinto "보관함"; }
