require ["enotify", "fcc"];
notify :fcc "Sent" "xmpp:ken@example.com";
