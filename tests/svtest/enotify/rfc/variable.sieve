require ["enotify", "variables"];
set "notif_method" "xmpp:tim@example.com?message;subject=SIEVE;body=You%20got%20mail";
if not string :is "${notif_method}" "" {
    notify "${notif_method}";
}
