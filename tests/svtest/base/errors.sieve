require "fileinot";
if haeder "subject" "x" { keep; }
if header :contians "subject" "x" { keep; }
vacation "I am away";
keep;
else { keep; }
keep
discard;
