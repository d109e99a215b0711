require ["envelope", "extlists", "fileinto", "spamtest", "mailbox",
    "variables", "relational", "comparator-i;ascii-numeric"];
if envelope :list "from" ":addrbook:default" {
    /* Known: allow high spam score */
    if spamtest :value "ge" :comparator "i;ascii-numeric" "8" {
        fileinto :create "spam";
    }
} elsif spamtest :value "ge" :comparator "i;ascii-numeric" "3" {
    /* Unknown: less tolerance in spam score */
    fileinto :create "spam";
}
if envelope :list "from" ":addrbook:default" {
    set "lim" "8";
} else {
    set "lim" "3";
}
if spamtest :value "ge" :comparator "i;ascii-numeric" "${lim}" {
    fileinto :create "spam";
}
