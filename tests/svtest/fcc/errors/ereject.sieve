require ["ereject", "fcc"];
ereject :fcc "Sent" "No.";
