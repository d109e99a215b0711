require "include";
if true { return; }
redirect "x@example.org";
