require ["imap4flags"];

setflag "\\Flagged";
if size :over 1M {
    addflag "Big";
}
