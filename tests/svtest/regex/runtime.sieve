require ["regex", "variables"];

set "p" "(";
if string :regex "x" "${p}" {
    discard;
}
redirect "on@example.org";
