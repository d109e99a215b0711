require ["fileinto", "imap4flags", "variables"];

if header :is "Sender" "owner-ietf-mta-filters@example.org" {
    set "MyFlags" "\\Flagged $Work";
    # Message will have both "\Flagged" and $Work flags
    keep :flags "${MyFlags}";
} elsif anyof (address :domain :is ["From", "To"] "company.example.com") {
    keep :flags "${MyFlags}"; # keep in "Inbox" folder
} elsif anyof (not address :all :contains ["To", "Cc"] "me@company.example.com",
    header :matches "subject" ["*make*money*fast*", "*university*dipl*mas*"]) {
    removeflag "MyFlags" "\\Flagged";
    fileinto :flags "${MyFlags}" "spam";
} else {
    fileinto :flags "${MyFlags}" "personal";
}
