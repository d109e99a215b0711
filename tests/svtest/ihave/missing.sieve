require "ihave";

if allof (ihave "vnd.example.nothing", frobnicate :hard "x") {
    melt "down";
} elsif not ihave "vnd.example.nothing" {
    redirect "other@example.org";
}
